-- Beside `runs`, which is MLflow's: both programs have a table of one name, so each has a database.
CREATE DATABASE trials;

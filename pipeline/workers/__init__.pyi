from .crew import Crew as Crew
from .crew import Done as Done
from .crew import Here as Here
from .scheduler import check_scheduler as check_scheduler
from .scheduler import open_crew as open_crew

"""Where work is done: in this process, in processes of this machine, on a cluster.

`crew` says what every crew can do and has the one of this process; `dask_crew` is the one of a Dask
cluster, `on_worker` what runs in its workers, `packed` how what all jobs share travels once,
`deaths` when a job is given up whose workers died. `scheduler` opens the crew that `scheduler:`
names, `cluster_file` reads the description of a cluster. Nothing here knows of networks or tables:
a job is any function of what all jobs share and of one thing more.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

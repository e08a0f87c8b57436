"""Work that takes minutes, as child processes of the command line: inspect, train, evaluate.

runner = JobRunner(Machine(store.jobs, store.folder / "jobs", root, store.folder))
await runner.start()
row = runner.submit(TrainJob(data=("sets",), name="mine"))
runner.view(row.id).seen.progress
await runner.close()
"""

from inctrl.service.jobs.attempt import Machine as Machine
from inctrl.service.jobs.runner import JobRunner as JobRunner
from inctrl.service.jobs.runner import JobView as JobView
from inctrl.service.jobs.specs import EvaluateJob as EvaluateJob
from inctrl.service.jobs.specs import FolderJob as FolderJob
from inctrl.service.jobs.specs import TrainJob as TrainJob

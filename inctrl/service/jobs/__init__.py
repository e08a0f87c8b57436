"""Work that takes minutes, as child processes of the command line: inspect, train, evaluate.

runner = JobRunner(store.jobs, store.folder / "jobs", data_root=root, store=store.folder)
await runner.start()
row = runner.submit(TrainJob(data=("sets",), name="mine"))
runner.view(row.id).progress
await runner.close()
"""

from inctrl.service.jobs.dataroot import DataSet as DataSet
from inctrl.service.jobs.dataroot import Listing as Listing
from inctrl.service.jobs.folder import ResultFile as ResultFile
from inctrl.service.jobs.follow import Progress as Progress
from inctrl.service.jobs.follow import Seen as Seen
from inctrl.service.jobs.runner import JobRunner as JobRunner
from inctrl.service.jobs.runner import JobView as JobView
from inctrl.service.jobs.specs import EvaluateJob as EvaluateJob
from inctrl.service.jobs.specs import FolderJob as FolderJob
from inctrl.service.jobs.specs import JobSpec as JobSpec
from inctrl.service.jobs.specs import TrainJob as TrainJob

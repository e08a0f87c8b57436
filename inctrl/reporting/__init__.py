"""Reports: a stream of results becomes one folder of scores, maps, pictures and a page.

Result | Failure -> RunWriter.add -> maps/ overlays/ -> scores.json scores.csv report.html

This room only reads results; it scores nothing and decides nothing.
"""

from inctrl.reporting.colours import Scale as Scale
from inctrl.reporting.overlay import overlay as overlay
from inctrl.reporting.run import RunInfo as RunInfo
from inctrl.reporting.writer import RunWriter as RunWriter

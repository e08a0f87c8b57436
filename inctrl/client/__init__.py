"""A service from Python: `inctrl.Client`. It loads no model and imports no torch."""

from inctrl.client.client import Client as Client
from inctrl.client.uploads import Image as Image

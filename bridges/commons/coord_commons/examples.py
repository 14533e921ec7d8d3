"""One or two command lines for each command, for its help."""

from __future__ import annotations

EXAMPLES = {
    "join": ("coord-commons join https://example.org/commons.git --town springfield",),
    "ls": ("coord-commons ls",),
    "leave": ("coord-commons leave commons",),
    "admit": ("coord-commons admit shelbyville shelbyville.pub --as human:ada",),
    "trust": ("coord-commons trust", "coord-commons trust 3f0c…"),
    "sync": ("coord-commons sync",),
    "offer": ("coord-commons offer wk-78qeh4r6 --needs rust --share desc",),
    "wanted": ("coord-commons wanted --can rust --can linux",),
    "show": ("coord-commons show wk-k3f9x2ab",),
    "take": ("coord-commons take wk-k3f9x2ab",),
    "submit": ("coord-commons submit wk-k3f9x2ab --evidence commit=1a2b3c4",),
    "accept": ("coord-commons accept wk-k3f9x2ab",),
    "return": ("coord-commons return wk-k3f9x2ab --why 'The tests fail on ARM.'",),
    "withdraw": ("coord-commons withdraw wk-k3f9x2ab",),
    "stamp": ("coord-commons stamp wk-k3f9x2ab --quality 4 --reliability 5 --creativity 3",),
    "reputation": ("coord-commons reputation", "coord-commons reputation shelbyville --at 7d"),
    "fraud": ("coord-commons fraud",),
}

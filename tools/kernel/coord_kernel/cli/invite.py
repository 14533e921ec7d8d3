"""What a person sees in a store without events, such as that of a fresh clone."""

from __future__ import annotations

from coord_kernel.cli.complaints import warn
from coord_kernel.store import locate, origin
from coord_kernel.sync import settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store


def invite(store: Store) -> None:
    """Say how to get what others have, if there is a remote and it was not synced yet."""
    common = locate.common_dir(store.path)
    usual = origin.usual(common) if common else None
    if settings.last(store)["ts"] or not (usual or locate.remote(store)):
        return
    command = "ev sync" if locate.remote(store) else f"ev sync --remote {usual}"
    warn(f"no events here yet; `{command}` may bring what others have")

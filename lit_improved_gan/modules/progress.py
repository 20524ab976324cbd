"""Where in its epochs a resumed run goes on: decided by the number of batches alone."""

from typing import Any

__all__ = ["resume_after"]


def resume_after(checkpoint: dict[str, Any], batches: int, per_epoch: float) -> None:
    """Set Lightning's progress in ``checkpoint`` to the end of training batch ``batches``.

    What Lightning saved depends on the hook that saved it and on which limit ended the run: a run that ``max_steps``
    ended goes on in a new epoch, or one epoch ahead, and validates after other batches than an uninterrupted one.

    Args:
        checkpoint: of a fit; its ``loops`` are changed.
        batches: training batches done, >= 0.
        per_epoch: batches of an epoch; infinite: nothing is changed.
    """
    loops = checkpoint.get("loops", {}).get("fit_loop")
    if not loops or not batches or per_epoch == float("inf"):
        return
    epoch = -(-batches // int(per_epoch))  # the one under way, or just at its end, from 1
    within = batches - (epoch - 1) * int(per_epoch)
    loops["epoch_progress"] = dict.fromkeys(("total", "current"), _progress(epoch, epoch - 1, epoch - 1))
    loops["epoch_loop.batch_progress"] = {
        "total": _progress(batches, batches, batches - 1),
        "current": _progress(within, within, within - 1),
        "is_last_batch": within == per_epoch,
    }
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] = batches - 1  # Lightning adds this batch


def _progress(begun: int, processed: int, completed: int) -> dict[str, int]:
    return {"ready": begun, "started": begun, "processed": processed, "completed": completed}

"""What is logged on the axis of training batches."""

from unittest.mock import Mock

import torch

from lit_improved_gan.modules.axis import BatchAxis


def test_a_loss_is_read_from_its_device_once_for_all_who_show_it(monkeypatch) -> None:
    loss = Mock(spec=["cpu"])  # nothing but `cpu` waits for the device
    loss.cpu.return_value = torch.tensor(2.0)
    shown, written = {}, []
    module, logger = BatchAxis(), Mock()
    logger.log_metrics.side_effect = lambda values, step: written.append((values, step))
    monkeypatch.setattr(module, "log_dict", lambda values, **_: shown.update(values))
    monkeypatch.setattr(BatchAxis, "loggers", [logger])
    module.log_after(3, {"lr": 0.5}, {"train/d_loss": loss})
    assert shown == {"train/d_loss": torch.tensor(2.0)}
    assert written == [({"lr": 0.5, "train/d_loss": 2.0}, 3)]
    loss.cpu.assert_called_once_with()

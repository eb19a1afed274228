import base64
from unittest.mock import patch

from odoo.tests import TransactionCase, tagged

from ..models.kitchen_print_job import MAX_ATTEMPTS


@tagged("post_install", "-at_install")
class TestPrintJob(TransactionCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.station = cls.env["kitchen.station"].create({"name": "Grill", "host": "grill-printer.example.com"})
        cls.job = cls.env["kitchen.print.job"].create(
            {"name": "Order 7", "station_id": cls.station.id, "payload": base64.b64encode(b"ticket")}
        )

    def _patch_send(self, **kwargs):
        return patch.object(type(self.station), "_send", autospec=True, **kwargs)

    def test_printed(self):
        with self._patch_send() as send:
            self.env["kitchen.print.job"]._cron_print_queued()
        send.assert_called_once_with(self.station, b"ticket")
        self.assertEqual(self.job.state, "printed")

    def test_gives_up_after_a_few_attempts(self):
        with self._patch_send(side_effect=OSError("no route to host")):
            for _attempt in range(MAX_ATTEMPTS):
                self.assertEqual(self.job.state, "queued")
                self.env["kitchen.print.job"]._cron_print_queued()
        self.assertEqual(self.job.state, "failed")
        self.assertEqual(self.station.failed_count, 1)

    def test_retry_starts_over(self):
        self.job.write({"state": "failed", "attempts": MAX_ATTEMPTS, "last_error": "no paper"})
        with self._patch_send():
            self.job.action_retry()
        self.assertEqual((self.job.state, self.job.attempts), ("printed", 1))
        self.assertFalse(self.job.last_error)

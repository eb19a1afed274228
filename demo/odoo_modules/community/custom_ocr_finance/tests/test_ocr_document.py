from unittest.mock import patch

import requests

from odoo.exceptions import UserError
from odoo.tests import tagged

from odoo.addons.account.tests.common import AccountTestInvoicingCommon

RECOGNISED = {
    "number": "2026-0042",
    "date": "2026-01-09",
    "due_date": "2026-02-08",
    "lines": [{"text": "Paper rolls, 80 mm", "quantity": 12, "price_unit": 1.75}],
}


@tagged("post_install", "-at_install")
class TestOcrDocument(AccountTestInvoicingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bill = cls.env["account.move"].create({"move_type": "in_invoice", "partner_id": cls.partner_a.id})
        cls.attachment = cls.env["ir.attachment"].create(
            {
                "name": "bill.pdf",
                "raw": b"%PDF-1.4",
                "mimetype": "application/pdf",
                "res_model": "account.move",
                "res_id": cls.bill.id,
            }
        )

    def _answers(self, *answers):
        return patch.object(type(self.env["ocr.document"]), "_call", side_effect=answers)

    def _recognise(self, confidence):
        done = {"status": "done", "fields": RECOGNISED, "confidence": confidence}
        with self._answers({"id": "job-1"}, done):
            self.bill.action_recognise()
            document = self.bill.ocr_document_ids
            document._collect()
        return document

    def test_sure_result_fills_the_bill(self):
        document = self._recognise(0.95)
        self.assertEqual(document.state, "done")
        self.assertEqual(self.bill.ref, "2026-0042")
        self.assertEqual(self.bill.invoice_line_ids.quantity, 12)

    def test_unsure_result_waits_for_a_person(self):
        document = self._recognise(0.40)
        self.assertEqual(document.state, "review")
        self.assertFalse(self.bill.ref)
        document.action_accept()
        self.assertEqual(self.bill.ref, "2026-0042")

    def test_what_was_typed_stays(self):
        self.bill.ref = "typed by hand"
        self._recognise(0.95)
        self.assertEqual(self.bill.ref, "typed by hand")

    def test_unreachable_service_can_be_retried(self):
        with self._answers(requests.ConnectionError("refused")):
            self.bill.action_recognise()
        document = self.bill.ocr_document_ids
        self.assertEqual((document.state, document.error_message), ("failed", "refused"))
        with self._answers({"id": "job-2"}):
            document.action_retry()
        self.assertEqual((document.state, document.job_reference), ("running", "job-2"))

    def test_bill_without_attachment(self):
        self.attachment.unlink()
        with self.assertRaises(UserError):
            self.bill.action_recognise()

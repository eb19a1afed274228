import logging
import os
from pathlib import Path

import requests

from odoo import _, api, fields, models
from odoo.exceptions import UserError

_logger = logging.getLogger(__name__)

CONNECT_TIMEOUT, READ_TIMEOUT = 5, 30


class OcrDocument(models.Model):
    _name = "ocr.document"
    _description = "Recognised Document"
    _order = "id desc"

    name = fields.Char("File Name", related="attachment_id.name")
    move_id = fields.Many2one("account.move", "Bill", required=True, ondelete="cascade", index=True)
    company_id = fields.Many2one(related="move_id.company_id", store=True)
    attachment_id = fields.Many2one("ir.attachment", "Attachment", required=True, ondelete="cascade")
    job_reference = fields.Char("Job", readonly=True, copy=False)
    recognised = fields.Json("Recognised Fields", readonly=True, copy=False)
    confidence = fields.Float("Confidence", readonly=True, copy=False, digits=(3, 2))
    error_message = fields.Char("Error", readonly=True, copy=False)
    state = fields.Selection(
        [
            ("waiting", "Waiting"),
            ("running", "Running"),
            ("done", "Done"),
            ("review", "To Review"),
            ("failed", "Failed"),
        ],
        "Status",
        required=True,
        readonly=True,
        default="waiting",
        index=True,
    )

    _sql_constraints = [
        ("attachment_uniq", "unique(attachment_id)", "This attachment is being recognised already."),
    ]

    @api.model
    def _service_url(self):
        url = self.env["ir.config_parameter"].sudo().get_param("custom_ocr_finance.url")
        url = url or os.environ.get("OCR_SERVICE_URL")
        if not url:
            raise UserError(_("No OCR service is configured."))
        return url.rstrip("/")

    @api.model
    def _service_headers(self):
        """The token lives in a file that only the container sees, never in the database."""
        path = os.environ.get("OCR_SERVICE_TOKEN_FILE")
        if not path:
            return {}
        try:
            token = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UserError(_("The token of the OCR service could not be read.")) from error
        return {"Authorization": f"Bearer {token}"}

    @api.model
    def _call(self, method, path, **kwargs):
        """Call the service and return its JSON. Raises requests.RequestException."""
        response = requests.request(
            method,
            self._service_url() + path,
            headers=self._service_headers(),
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            **kwargs,
        )
        response.raise_for_status()
        return response.json()

    def _submit(self):
        for document in self.filtered(lambda document: document.state == "waiting"):
            attachment = document.attachment_id
            try:
                answer = self._call(
                    "POST",
                    "/v1/jobs",
                    files={"file": (attachment.name, attachment.raw, attachment.mimetype)},
                    data={"queue": "invoices", "language": document.move_id.partner_id.lang or ""},
                )
            except requests.RequestException as error:
                document._fail(error)
            else:
                document.write({"state": "running", "job_reference": answer["id"], "error_message": False})

    def _collect(self):
        """Ask for running jobs and fill in the bills of those that have ended."""
        for document in self.filtered(lambda document: document.state == "running"):
            try:
                answer = self._call("GET", f"/v1/jobs/{document.job_reference}")
            except requests.RequestException as error:
                document._fail(error)
                continue
            if answer["status"] == "failed":
                document._fail(answer.get("error") or _("The service gave no reason."))
            elif answer["status"] == "done":
                document._apply(answer["fields"], answer["confidence"])

    def _apply(self, recognised, confidence):
        self.ensure_one()
        threshold = float(
            self.env["ir.config_parameter"].sudo().get_param("custom_ocr_finance.min_confidence", "0.80")
        )
        self.write(
            {
                "recognised": recognised,
                "confidence": confidence,
                "state": "done" if confidence >= threshold else "review",
            }
        )
        if self.state == "done":
            self.move_id._fill_from_ocr(recognised)

    def _fail(self, reason):
        _logger.warning("document %s was not recognised: %s", self.id, reason)
        self.write({"state": "failed", "error_message": str(reason)[:250]})

    def action_retry(self):
        self.write({"state": "waiting", "job_reference": False, "error_message": False})
        self._submit()

    def action_accept(self):
        """Take over what was recognised although the service was not sure."""
        for document in self.filtered(lambda document: document.state == "review"):
            document.move_id._fill_from_ocr(document.recognised or {})
            document.state = "done"

    @api.model
    def _cron_recognise(self):
        self.search([("state", "=", "waiting")], limit=50)._submit()
        self.search([("state", "=", "running")], limit=200)._collect()

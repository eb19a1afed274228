from odoo import _, fields, models
from odoo.exceptions import UserError

READABLE = ("application/pdf", "image/jpeg", "image/png", "image/tiff")


class AccountMove(models.Model):
    _inherit = "account.move"

    ocr_document_ids = fields.One2many("ocr.document", "move_id", "Recognised Documents")

    def action_recognise(self):
        """Queue the newest readable attachment of each draft bill."""
        for move in self:
            if move.state != "draft" or not move.is_purchase_document():
                raise UserError(_("Only draft vendor bills can be recognised."))
            attachment = self.env["ir.attachment"].search(
                [
                    ("res_model", "=", "account.move"),
                    ("res_id", "=", move.id),
                    ("mimetype", "in", READABLE),
                ],
                order="id desc",
                limit=1,
            )
            if not attachment:
                raise UserError(_("Attach a PDF or an image of the bill first."))
            document = move.ocr_document_ids.filtered(lambda d, a=attachment: d.attachment_id == a)
            if document:
                document.action_retry()
            else:
                self.env["ocr.document"].create({"move_id": move.id, "attachment_id": attachment.id})._submit()

    def _fill_from_ocr(self, recognised):
        """Fill empty fields of a draft. What a person typed is never overwritten."""
        self.ensure_one()
        if self.state != "draft":
            return
        values = {}
        if not self.partner_id and recognised.get("vat"):
            partner = self.env["res.partner"].search(
                [("vat", "=", recognised["vat"]), ("parent_id", "=", False)], limit=1
            )
            values["partner_id"] = partner.id
        if not self.ref and recognised.get("number"):
            values["ref"] = recognised["number"]
        for field_name, key in (("invoice_date", "date"), ("invoice_date_due", "due_date")):
            if not self[field_name] and recognised.get(key):
                values[field_name] = fields.Date.to_date(recognised[key])
        if not self.invoice_line_ids:
            values["invoice_line_ids"] = [
                fields.Command.create(
                    {
                        "name": line.get("text") or "/",
                        "quantity": line.get("quantity") or 1.0,
                        "price_unit": line.get("price_unit") or 0.0,
                    }
                )
                for line in recognised.get("lines", [])
            ]
        self.write({name: value for name, value in values.items() if value})
        if recognised.get("total") is not None:
            difference = self.currency_id.round(self.amount_total - recognised["total"])
            if not self.currency_id.is_zero(difference):
                self.message_post(
                    body=_(
                        "The recognised total differs from this bill by %s. Please check the lines and taxes.",
                        difference,
                    )
                )

/** @odoo-module **/

import { rpc } from "@web/core/network/rpc";
import { _t } from "@web/core/l10n/translation";
import publicWidget from "@web/legacy/js/public/public_widget";

const MAX_QUANTITY = 20;

publicWidget.registry.QrMenu = publicWidget.Widget.extend({
    selector: ".o_qr_menu",
    events: {
        "click [data-step]": "_onStep",
        "click .o_qr_submit": "_onSubmit",
    },

    start() {
        this.quantities = new Map();
        return this._super(...arguments);
    },

    _onStep(ev) {
        const dish = ev.currentTarget.closest(".o_qr_dish");
        const productId = Number(dish.dataset.productId);
        const step = Number(ev.currentTarget.dataset.step);
        const wanted = (this.quantities.get(productId) || 0) + step;
        const quantity = Math.min(Math.max(wanted, 0), MAX_QUANTITY);
        if (quantity) {
            this.quantities.set(productId, quantity);
        } else {
            this.quantities.delete(productId);
        }
        dish.querySelector("output").textContent = quantity;
        this.el.querySelector(".o_qr_submit").disabled = !this.quantities.size;
    },

    async _onSubmit(ev) {
        const button = ev.currentTarget;
        button.disabled = true;
        try {
            const answer = await rpc(`/qr/${this.el.dataset.token}/submit`, {
                lines: [...this.quantities].map(([product_id, quantity]) => ({ product_id, quantity })),
                guest_note: this.el.querySelector("[name=guest_note]").value,
            });
            if (answer.ok) {
                this._reset();
                this._say(_t("Thank you! Your order is %s.", answer.reference));
            } else {
                this._say(answer.message || _t("Please ask our staff."));
            }
        } catch {
            this._say(_t("No connection. Please try again."));
        }
        button.disabled = !this.quantities.size;
    },

    _reset() {
        this.quantities.clear();
        for (const output of this.el.querySelectorAll("output")) {
            output.textContent = "0";
        }
        this.el.querySelector("[name=guest_note]").value = "";
    },

    _say(text) {
        this.el.querySelector(".o_qr_message").textContent = text;
    },
});

export default publicWidget.registry.QrMenu;

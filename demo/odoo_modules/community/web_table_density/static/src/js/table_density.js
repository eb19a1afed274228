/** @odoo-module **/

import { _t } from "@web/core/l10n/translation";
import { browser } from "@web/core/browser/browser";
import { patch } from "@web/core/utils/patch";
import { registry } from "@web/core/registry";
import { session } from "@web/session";
import { user } from "@web/core/user";
import { ListController } from "@web/views/list/list_controller";

const DENSITIES = ["comfortable", "default", "compact"];

/** The density of one model's lists: a rule for the model goes before the user's own choice. */
export function densityOf(resModel, settings = session.table_density) {
    const density = settings?.models?.[resModel] ?? settings?.user;
    return DENSITIES.includes(density) ? density : "default";
}

patch(ListController.prototype, {
    get className() {
        const density = densityOf(this.props.resModel);
        return [super.className, `o_table_density_${density}`].filter(Boolean).join(" ");
    },
});

function tableDensityItem(env) {
    return {
        type: "item",
        id: "table_density",
        description: _t("Change Table Density"),
        callback: async () => {
            const current = DENSITIES.indexOf(densityOf(null));
            const next = DENSITIES[(current + 1) % DENSITIES.length];
            await env.services.orm.write("res.users", [user.userId], { table_density: next });
            browser.location.reload();
        },
        sequence: 45,
    };
}

registry.category("user_menuitems").add("table_density", tableDensityItem);

//! `/alerts/rules`: each rule as a sentence, with its settings and its last alert.

use askama::Template;
use telepath_core::alert::{AlertRule, RuleSetting, length};
use telepath_store::SignedIn;

use super::chip_of;
use crate::chip::Chip;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::{Crumb, Shell};
use crate::time::Shown;
use crate::visit::Visit;

/// A rule of the list.
struct Row {
    name: &'static str,
    chip: Chip,
    /// When it raises an alert; `None` when it is turned off.
    condition: Option<String>,
    settings: Vec<RuleSetting>,
    cooldown: String,
    last: Option<Shown>,
}

#[derive(Template)]
#[template(path = "pages/alert_rules.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
    by_mail: bool,
    zone: String,
}

/// Reads when each rule raised its last alert (1).
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let last = visit.store().last_alerts(caller.session.account).await?;
    let (settings, zone) = (visit.store().alert_settings(), visit.zone_of(&caller));
    let row = |rule: &AlertRule| Row {
        name: rule.name(),
        chip: chip_of(rule.severity()),
        condition: rule.condition(settings),
        settings: rule.settings(settings),
        cooldown: length(settings.cooldown(*rule)),
        last: last.get(rule).map(|at| zone.shown(*at)),
    };
    Reply::page(&Page {
        shell: Shell::new(&visit, &caller, vec![Crumb::page("Alerts", "/alerts")], "Rules").await?,
        rows: AlertRule::ALL.iter().map(row).collect(),
        by_mail: settings.by_mail,
        zone: zone.abbreviation(visit.now),
    })
}

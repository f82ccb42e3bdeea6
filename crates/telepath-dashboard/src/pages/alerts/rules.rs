//! `/alerts/rules`: each rule as a sentence, with its settings and its last alert.

use askama::Template;
use telepath_core::alert::{AlertRule, AlertTestKind, RuleSetting, length};
use telepath_core::scope::Scope;
use telepath_store::{AlertPost, SignedIn};

use super::chip_of;
use crate::chip::Chip;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::{Crumb, Shell};
use crate::time::Shown;
use crate::visible::visible;
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
    /// Whether the user may send a test.
    can_test: bool,
    tested: Option<Tested>,
    zone: String,
}

/// The result of a test.
enum Tested {
    Sent(&'static str),
    Failed(String),
}

/// Reads when each rule raised its last alert (1).
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let sent = visit.query.get("sent").and_then(AlertTestKind::from_name);
    let tested = sent.map(|kind| {
        Tested::Sent(match kind {
            AlertTestKind::Mail => "The mail server accepted the test mail.",
            AlertTestKind::Alert => "The mail server accepted the test alert.",
        })
    });
    page(&visit, &caller, tested).await
}

async fn page(visit: &Visit, caller: &SignedIn, tested: Option<Tested>) -> Outcome {
    let last = visit.store().last_alerts(caller.session.account).await?;
    let (settings, zone) = (visit.store().alert_settings(), visit.zone_of(caller));
    let row = |rule: &AlertRule| Row {
        name: rule.name(),
        chip: chip_of(rule.severity()),
        condition: rule.condition(settings),
        settings: rule.settings(settings),
        cooldown: length(settings.cooldown(*rule)),
        last: last.get(rule).map(|at| zone.shown(*at)),
    };
    Reply::page(&Page {
        shell: Shell::new(visit, caller, vec![Crumb::page("Alerts", "/alerts")], "Rules").await?,
        rows: AlertRule::ALL.iter().map(row).collect(),
        by_mail: settings.by_mail,
        can_test: visit.shared.mail.is_some() && caller.role.scopes().allows(Scope::KeysWrite),
        tested,
        zone: zone.abbreviation(visit.now),
    })
}

/// Sends a test as the API does. What the mail server says is shown.
pub(super) async fn test(visit: Visit, caller: SignedIn) -> Outcome {
    let kind = AlertTestKind::from_name(visit.form.text("kind"));
    let kind = kind.ok_or(Problem::Malformed("The kind of a test must be mail or alert."))?;
    let post = AlertPost {
        mail: visit.shared.mail.clone(),
        pages: visit.shared.options.public_url.as_ref().map(ToString::to_string),
    };
    let origin = visit.change_by(&caller);
    match visit.store().test_alerts(caller.session.account, kind, &post, origin).await? {
        Ok(()) => Ok(Reply::see_other(format!("/alerts/rules?sent={}", kind.name()))),
        Err(error) => page(&visit, &caller, Some(Tested::Failed(visible(&error.to_string())))).await,
    }
}

//! When a key ends: choices of days, a date, or never, each with the moment in words.

use std::time::Duration;

use telepath_core::account::Account;
use telepath_core::clock::Timestamp;
use telepath_core::patch::Patch;

use crate::form::{Fields, Problems};
use crate::time::Zone;

const FIELD: &str = "expires";
const DATE: &str = "date";
const NEVER: &str = "never";
const KEEP: &str = "keep";
/// The lifetimes that can be chosen, in days, and the one that is chosen at first.
const DAYS: [(&str, u64, &str); 4] =
    [("7", 7, "7 days"), ("30", 30, "30 days"), ("90", 90, "90 days"), ("365", 365, "1 year")];
const FIRST: &str = "90";

/// The choices as a form shows them.
pub(super) struct Expiry {
    pub(super) choices: Vec<Choice>,
    /// What was typed for another date.
    pub(super) date: String,
    /// Today, in the zone of the user.
    pub(super) today: String,
}

pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) chosen: bool,
    /// Whether a policy of the account rules it out.
    pub(super) disabled: bool,
    /// What the choice means.
    pub(super) sentence: String,
}

impl Expiry {
    /// The choices of a form.
    pub(super) fn new(form: &Fields, account: &Account, zone: &Zone, now: Timestamp) -> Self {
        let allowed = |end| account.check_expiry(end, now).is_ok();
        let usual = DAYS.iter().rev().find(|(value, days, _)| {
            (*value == FIRST || *days < 90) && allowed(Some(now.plus(days_long(*days))))
        });
        let first = usual.map_or(DATE, |(value, ..)| value);
        let chosen = form.get(FIELD).unwrap_or(first);
        let date = form.text("expires_on").to_owned();
        let choice = |value, label, disabled, sentence| Choice {
            value,
            label,
            chosen: value == chosen,
            disabled,
            sentence,
        };
        let mut choices: Vec<Choice> = DAYS
            .iter()
            .map(|(value, days, label)| {
                let end = now.plus(days_long(*days));
                choice(*value, *label, !allowed(Some(end)), expires_on(zone, end))
            })
            .collect();
        let sentence = match zone.end_of_day(&date) {
            Some(end) => expires_on(zone, end),
            None => "The key works until the end of the day that you choose.".to_owned(),
        };
        choices.push(choice(DATE, "A date", false, sentence));
        let never =
            "The key works until somebody revokes it. If it leaks and nobody notices, it works forever.";
        choices.push(choice(NEVER, "Never", !allowed(None), never.to_owned()));
        Self { choices, date, today: zone.date_field(now) }
    }
}

impl Expiry {
    /// The choices for a key that exists: first, what it has.
    pub(super) fn of_key(
        form: &Fields,
        held: Option<Timestamp>,
        account: &Account,
        zone: &Zone,
        now: Timestamp,
    ) -> Self {
        let mut expiry = Self::new(form, account, zone, now);
        let keeps = form.get(FIELD).unwrap_or(KEEP) == KEEP;
        for choice in &mut expiry.choices {
            choice.chosen &= !keeps;
        }
        let sentence = held.map_or_else(|| "Never expires.".to_owned(), |end| expires_on(zone, end));
        let keep = Choice { value: KEEP, label: "As it is", chosen: keeps, disabled: false, sentence };
        expiry.choices.insert(0, keep);
        expiry
    }
}

/// The end that a form asks for, of a key that exists.
pub(super) fn chosen_of_key(
    form: &Fields,
    zone: &Zone,
    now: Timestamp,
) -> Result<Patch<Timestamp>, Problems> {
    match form.get(FIELD) {
        None | Some(KEEP) => Ok(Patch::Keep),
        Some(_) => Ok(chosen(form, zone, now)?.map_or(Patch::Clear, Patch::Set)),
    }
}

fn expires_on(zone: &Zone, end: Timestamp) -> String {
    format!("Expires on {}.", zone.exact(end))
}

const fn days_long(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

/// The end that a form asks for.
pub(super) fn chosen(form: &Fields, zone: &Zone, now: Timestamp) -> Result<Option<Timestamp>, Problems> {
    let chosen = form.get(FIELD).unwrap_or(FIRST);
    if let Some((_, days, _)) = DAYS.iter().find(|(value, ..)| *value == chosen) {
        return Ok(Some(now.plus(days_long(*days))));
    }
    match chosen {
        NEVER => Ok(None),
        DATE => {
            let end = zone.end_of_day(form.text("expires_on"));
            let end = end.ok_or_else(|| Problems::one("expires_at", "Enter a date, such as 2027-02-27"))?;
            Ok(Some(end))
        }
        _ => Err(Problems::one("expires_at", "Choose when the key expires")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_seconds(1_796_040_307);

    #[test]
    fn a_form_chooses_days_a_date_or_never() {
        let berlin = Zone::named(&"Europe/Berlin".parse().unwrap());
        let of = |text: &str| chosen(&Fields::parse(text), &berlin, NOON);
        assert_eq!(of("").unwrap(), Some(NOON.plus(days_long(90))));
        assert_eq!(of("expires=7").unwrap(), Some(NOON.plus(days_long(7))));
        assert_eq!(of("expires=never").unwrap(), None);
        let end = of("expires=date&expires_on=2027-02-27").unwrap().unwrap();
        assert_eq!(end.to_string(), "2027-02-27T23:00:00.000Z", "midnight in Berlin");
        for wrong in ["expires=8", "expires=date", "expires=date&expires_on=2027-02-30"] {
            assert!(of(wrong).unwrap_err().of("expires_at").is_some(), "{wrong}");
        }
    }
}

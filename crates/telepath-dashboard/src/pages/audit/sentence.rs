//! The words between who did something and what it was done to.

/// Actions whose name does not read as a sentence, with whether a target follows.
const PHRASES: [(&str, &str, bool); 30] = [
    ("alerts.tested", "sent a test of the emails about alerts", false),
    ("key.updated", "changed", true),
    ("key.secret_ended", "ended a secret of", true),
    ("leak_guide.started", "started the leak guide for", true),
    ("leak_guide.requests_reviewed", "reviewed the requests of", true),
    ("leak_guide.credentials_kept", "kept the provider credentials after the leak of", true),
    ("key_preset.updated", "edited the preset", true),
    ("key_preset.reset", "reset the preset", true),
    ("trunk.sip_password_rotated", "rotated the SIP password of", true),
    ("call.hangup_requested", "hung up", true),
    ("call.erased", "erased the record of", true),
    ("number.erased", "erased a number from the records of calls", false),
    ("webhook.secret_rotated", "rotated the secret of", true),
    ("webhook.tested", "sent a test event to", true),
    ("webhook.recovered", "sent again what had failed at", true),
    ("delivery.repeated", "sent again", true),
    ("account.updated", "changed the account", false),
    ("user.role_changed", "changed the role of", true),
    ("user.password_changed", "changed the password of", true),
    ("user.password_link_created", "created a password link for", true),
    ("user.second_factor_enrolled", "began to add a second factor for", true),
    ("user.second_factor_added", "added a second factor for", true),
    ("user.second_factor_removed", "removed the second factor of", true),
    ("user.recovery_codes_replaced", "replaced the recovery codes of", true),
    ("user.recovery_code_used", "used a recovery code of", true),
    ("session.created", "signed in", false),
    ("session.confirmed", "confirmed who they are", false),
    ("session.switched", "switched to this account", false),
    ("session.all_revoked", "signed out the sessions of", true),
    ("session.refused", "gave a wrong password or code", false),
];

/// What was done, and whether the target follows: `revoked the key`, from `key.revoked`.
pub(crate) fn phrase(action: &str) -> (String, bool) {
    if let Some((_, phrase, has_target)) = PHRASES.iter().find(|(name, _, _)| *name == action) {
        return ((*phrase).to_owned(), *has_target);
    }
    let (what, done) = action.split_once('.').unwrap_or(("", action));
    let what = match what {
        "trunk" => "connection".to_owned(),
        what => what.replace('_', " "),
    };
    (format!("{} the {what}", done.replace('_', " ")), true)
}

/// What follows the target when one member has a short value on both sides: `: name from old to new`.
pub(super) fn rest(changes: &[(&str, &str, &str)]) -> String {
    const SHORT: usize = 60;
    match changes {
        [(member, before, after)]
            if *before != "–" && *after != "–" && before.len() + after.len() <= SHORT =>
        {
            format!(": {} from {before} to {after}", member.replace('_', " "))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::audit::AuditAction;

    use super::*;

    #[test]
    fn every_action_reads_as_a_sentence() {
        let phrases: Vec<String> = AuditAction::ALL.iter().map(|action| phrase(action.name()).0).collect();
        assert!(phrases.contains(&"revoked the key".to_owned()), "{phrases:?}");
        assert!(phrases.contains(&"created the connection".to_owned()));
        assert!(phrases.iter().all(|phrase| !phrase.contains(['_', '.'])), "{phrases:?}");
        for (name, _, _) in PHRASES {
            assert!(AuditAction::from_name(name).is_some(), "{name} is no action");
        }
    }

    #[test]
    fn a_change_of_one_value_is_told_in_the_sentence() {
        assert_eq!(rest(&[("rate_limit", "600", "1,200")]), ": rate limit from 600 to 1,200");
        assert_eq!(rest(&[("name", "–", "one")]), "");
        assert_eq!(rest(&[("a", "1", "2"), ("b", "1", "2")]), "");
    }
}

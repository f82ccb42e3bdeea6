//! The settings that users choose for themselves.

use std::str::FromStr;

use serde::Deserialize;

use super::{Profile, UserName};
use crate::named::named_enum;
use crate::patch::Patch;
use crate::validation::Invalid;

named_enum! {
    /// Which colours the dashboard uses.
    #[derive(Default)]
    pub enum Theme {
        /// The setting of the browser.
        #[default]
        System = "system",
        Light = "light",
        Dark = "dark",
    }
}

/// The text names no theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be system, light or dark")]
pub struct InvalidTheme;

/// The name of a time zone, such as `Europe/Berlin`. Only its form is checked: whether the zone is known depends on the
/// time zone database of the machine that shows a time, which falls back to UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZoneName(String);

/// The text does not have the form of a time zone's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the name of a time zone such as Europe/Berlin")]
pub struct InvalidTimeZone;

impl TimeZoneName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TimeZoneName {
    type Err = InvalidTimeZone;

    fn from_str(text: &str) -> Result<Self, InvalidTimeZone> {
        let is_symbol = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        if starts_well && text.len() <= 64 && text.bytes().all(is_symbol) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTimeZone)
        }
    }
}

/// A request of a user to change their own settings, as it came in; members left out stay as they are.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPatchDraft {
    pub name: Option<String>,
    #[serde(default)]
    pub time_zone: Patch<String>,
    pub theme: Option<String>,
    pub shortcuts_off: Option<bool>,
}

/// A checked change of a user's settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserPatch {
    pub name: Option<UserName>,
    pub time_zone: Patch<TimeZoneName>,
    pub theme: Option<Theme>,
    pub shortcuts_off: Option<bool>,
}

impl UserPatchDraft {
    /// # Errors
    /// Every member that is not what it must be.
    pub fn check(self) -> Result<UserPatch, Invalid> {
        let mut problems = Invalid::default();
        let name = problems.optional("name", self.name, |name| UserName::check(&name));
        let time_zone =
            problems.keep("time_zone", self.time_zone.try_map(|zone| zone.parse::<TimeZoneName>()));
        let named = |name: String| Theme::from_name(&name).ok_or(InvalidTheme);
        let theme = problems.optional("theme", self.theme, named);
        match time_zone {
            Some(time_zone) if problems.is_empty() => {
                Ok(UserPatch { name, time_zone, theme, shortcuts_off: self.shortcuts_off })
            }
            Some(_) | None => Err(problems),
        }
    }
}

impl UserPatch {
    /// The name and the settings after the change.
    pub fn apply(self, name: UserName, profile: Profile) -> (UserName, Profile) {
        let profile = Profile {
            time_zone: self.time_zone.apply(profile.time_zone),
            theme: self.theme.unwrap_or(profile.theme),
            shortcuts_off: self.shortcuts_off.unwrap_or(profile.shortcuts_off),
        };
        (self.name.unwrap_or(name), profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_sets_only_the_given_members() {
        let before = Profile { time_zone: "Europe/Berlin".parse().ok(), ..Profile::default() };
        let ada = UserName::check("Ada").unwrap();
        let draft = UserPatchDraft { theme: Some("dark".to_owned()), ..UserPatchDraft::default() };
        let (name, after) = draft.check().unwrap().apply(ada.clone(), before.clone());
        assert_eq!((name, &after), (ada.clone(), &Profile { theme: Theme::Dark, ..before }));
        let draft = UserPatchDraft { time_zone: Patch::Clear, ..UserPatchDraft::default() };
        assert_eq!(draft.check().unwrap().apply(ada, after).1.time_zone, None);
    }

    #[test]
    fn errors_name_every_invalid_member() {
        let draft = UserPatchDraft {
            name: Some(String::new()),
            time_zone: Patch::Set("../etc/passwd".to_owned()),
            theme: Some("pink".to_owned()),
            shortcuts_off: None,
        };
        let fields: Vec<_> = draft.check().unwrap_err().into_details().into_iter().map(|d| d.field).collect();
        assert_eq!(fields, ["name", "time_zone", "theme"]);
        for good in ["UTC", "Etc/GMT+3", "America/Argentina/Buenos_Aires"] {
            assert!(good.parse::<TimeZoneName>().is_ok(), "{good}");
        }
        for bad in ["", "Europe/Ber lin", "/etc/localtime", &"x".repeat(65)] {
            assert!(bad.parse::<TimeZoneName>().is_err(), "{bad}");
        }
    }
}

//! Messages for files and folders that this process may not use: whose they are, and what to do.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::exit::Failure;

/// The failure to use a file or folder. A missing permission names the owner and this user.
pub(crate) fn unusable(path: &Path, error: &io::Error) -> Failure {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return Failure::plain(format!("cannot use {}: {error}", path.display()));
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    match (nearest_owner(path), own_uid()) {
        (Some((place, owner)), Some(uid)) => denied(path, place, owner, uid, &users),
        (_, _) => Failure::plain(format!("cannot use {}: permission denied", path.display()))
            .remedy("Run the command as the user that owns it, or pass another --data-dir."),
    }
}

fn denied(path: &Path, place: &Path, owner: u32, uid: u32, users: &str) -> Failure {
    let named = |uid: u32| match name_of(uid, users) {
        Some(name) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    };
    let belongs = if place == path { "it".to_owned() } else { place.display().to_string() };
    let message = format!(
        "cannot use {}: permission denied; {belongs} belongs to {}, and this process runs as {}",
        path.display(),
        named(owner),
        named(uid)
    );
    let failure = Failure::plain(message);
    if owner == uid {
        return failure
            .remedy(format!("Give its owner the permission with `chmod u+rwX {}`.", place.display()));
    }
    let user = name_of(owner, users).map_or_else(|| format!("#{owner}"), str::to_owned);
    failure.remedy(format!(
        "Run the command as that user, such as with `sudo -u '{user}' telepath …`, or pass another --data-dir."
    ))
}

/// The path itself, or the nearest folder above it that this process can see, and its owner.
fn nearest_owner(path: &Path) -> Option<(&Path, u32)> {
    path.ancestors().find_map(|place| Some((place, fs::metadata(place).ok()?.uid())))
}

/// The effective user id of this process.
fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|process| process.uid())
}

/// The name of a user in the format of `/etc/passwd`.
fn name_of(uid: u32, users: &str) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/bash\ntelepath:x:998:998::/home/telepath:/usr/sbin/nologin\n";

    #[test]
    fn a_missing_permission_names_the_owner_this_user_and_the_remedy() {
        let path = Path::new("/var/lib/telepath/lock");
        let line = denied(path, Path::new("/var/lib/telepath"), 998, 1000, USERS).to_string();
        assert_eq!(
            line,
            "cannot use /var/lib/telepath/lock: permission denied; /var/lib/telepath belongs to telepath (uid 998), \
             and this process runs as uid 1000. Run the command as that user, such as with `sudo -u 'telepath' telepath …`, \
             or pass another --data-dir."
        );
        let line = denied(path, path, 4321, 0, USERS).to_string();
        assert!(line.contains("it belongs to uid 4321") && line.contains("root (uid 0)"), "{line}");
        assert!(line.contains("sudo -u '#4321'"), "{line}");
        let line = denied(path, path, 998, 998, USERS).to_string();
        assert!(line.contains("chmod u+rwX /var/lib/telepath/lock"), "{line}");
    }

    #[test]
    fn other_errors_are_reported_as_they_are() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let line = unusable(Path::new("/data"), &full).to_string();
        assert!(line.starts_with("cannot use /data: ") && !line.contains("belongs"), "{line}");
    }

    #[test]
    fn the_owner_of_an_unknown_path_is_that_of_the_folder_above() {
        let missing = Path::new("/proc/self/no/such");
        assert_eq!(nearest_owner(missing).map(|(place, _)| place), Some(Path::new("/proc/self")));
        assert_eq!(nearest_owner(missing).map(|(_, owner)| owner), own_uid());
    }
}

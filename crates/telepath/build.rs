//! Passes the commit and the target to the program, for `telepath version`.

use std::process::Command;

fn main() {
    let commit = std::env::var("TELEPATH_BUILD_COMMIT").ok().or_else(commit).unwrap_or("unknown".to_owned());
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=TELEPATH_BUILD_COMMIT={commit}");
    println!("cargo::rustc-env=TELEPATH_BUILD_TARGET={target}");
    println!("cargo::rerun-if-env-changed=TELEPATH_BUILD_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    // A debug build is not rebuilt for each commit, so it does not name one.
    if is_release()
        && let Some(head) = git(&["rev-parse", "--git-path", "logs/HEAD"])
    {
        println!("cargo::rerun-if-changed={head}");
    }
}

fn is_release() -> bool {
    std::env::var("PROFILE").is_ok_and(|profile| profile == "release")
}

/// The commit, with `-dirty` if files differ from it.
fn commit() -> Option<String> {
    if !is_release() {
        return Some("debug build".to_owned());
    }
    git(&["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"])
}

fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

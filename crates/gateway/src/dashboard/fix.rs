//! The next step of an operator for a problem of a file, with a command to copy. Pure.
//!
//! The reason is text of an agent. Its words are those of `s3up status`; a reason that is not known here
//! has the general steps.

use s3up_core::escape::decode;
use s3up_core::wire::ReportedProblem;

use super::text::{last_segment, shell_word, yaml_word};

/// A step, and a command or a line of a configuration file that carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fix {
    pub step: &'static str,
    pub command: String,
}

/// Words of a reason in lower case, and the step that they ask for.
const STEPS: [(&[&str], Step); 8] = [
    (&["permission denied"], Step::Permit),
    (&["never settled", "still changing", "uploaded as it was"], Step::Exclude),
    (&["upload.max_file_size_mb"], Step::RaiseOwnLimit),
    (&["over quota", "quota_gb", "its quota"], Step::RaiseQuota),
    (&["max_file_size_mb", "found a longer one"], Step::RaiseLimit),
    (&["allowed_extensions"], Step::AllowExtension),
    (&["invalid remote path"], Step::Rename),
    (&["no such file or directory", "not mounted", "unmounted"], Step::Mount),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Permit,
    Exclude,
    RaiseOwnLimit,
    RaiseQuota,
    RaiseLimit,
    AllowExtension,
    Rename,
    Mount,
}

pub(super) fn fix(problem: &ReportedProblem) -> Fix {
    let reason = problem.reason.to_lowercase();
    let found = STEPS.into_iter().find(|(words, _)| words.iter().any(|word| reason.contains(word)));
    // Bytes that are not UTF-8 cannot be copied; the escaped name then shows which file it is.
    let path = String::from_utf8(decode(&problem.path)).unwrap_or_else(|_| problem.path.clone());
    let word = shell_word(&path);
    let (step, command) = match found.map(|(_, step)| step) {
        Some(Step::Permit) => (
            "On the host, give the user of the agent the right to read it",
            format!("setfacl -m u:s3up:rX {} && s3up retry", operand(&word)),
        ),
        Some(Step::Exclude) => (
            "Back up a dump of it, and exclude it in client.yaml",
            format!("exclude: [{}]", yaml_word(last_segment(&path))),
        ),
        Some(Step::RaiseOwnLimit) => (
            "Raise the limit in client.yaml, or exclude the file",
            "upload: { max_file_size_mb: 10240 }".to_owned(),
        ),
        Some(Step::RaiseQuota) => (
            "Raise the quota of the client in server.yaml, then reload",
            "systemctl reload s3up-server".to_owned(),
        ),
        Some(Step::RaiseLimit) => (
            "Raise max_file_size_mb of the client in server.yaml, then reload",
            "systemctl reload s3up-server".to_owned(),
        ),
        Some(Step::AllowExtension) => (
            "Add the extension to allowed_extensions of the client in server.yaml, then reload",
            "systemctl reload s3up-server".to_owned(),
        ),
        Some(Step::Rename) => ("Give it a shorter path", format!("mv -i -- {word} NEW-NAME")),
        Some(Step::Mount) => (
            "On the host, check that it is there and mounted",
            format!("findmnt -T {}", operand(&word)),
        ),
        None => (
            "On the host, see the reason in full, then try again",
            "s3up status && s3up retry".to_owned(),
        ),
    };
    Fix { step, command }
}

/// Returns a word that no program takes for an option.
fn operand(word: &str) -> String {
    if word.starts_with('/') || word.starts_with("'/") || word.starts_with("$'/") {
        word.to_owned()
    } else {
        format!("-- {word}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_reason_has_its_own_step() {
        #[rustfmt::skip]
        let cases = [
            ("/srv/a",         "Permission denied (os error 13)",             "setfacl -m u:s3up:rX /srv/a && s3up retry"),
            ("/srv/a b'c",     "open: Permission denied",                     r"setfacl -m u:s3up:rX '/srv/a b'\''c' && s3up retry"),
            ("/log/error.log", "never settled",                               r#"exclude: ["error.log"]"#),
            ("/x/\"y\".db",    "it never settled and was uploaded as it was", r#"exclude: ["\"y\".db"]"#),
            ("/x",             "too large: expected at most 1.0 GiB (upload.max_file_size_mb), found 2.0 GiB", "upload: { max_file_size_mb: 10240 }"),
            ("/x",             "expected a file of at most 40 MiB (41943040 bytes), found a longer one", "systemctl reload s3up-server"),
            ("/x",             "the client is over quota",                    "systemctl reload s3up-server"),
            ("/srv",           "No such file or directory (os error 2)",      "findmnt -T /srv"),
            // A name that an agent has escaped.
            ("/srv/a%0Ab",     "Permission denied",                           r"setfacl -m u:s3up:rX $'/srv/a\u000ab' && s3up retry"),
            ("/srv/a%FF",      "Permission denied",                           "setfacl -m u:s3up:rX /srv/a%FF && s3up retry"),
            ("-rf",            "Permission denied",                           "setfacl -m u:s3up:rX -- '-rf' && s3up retry"),
            ("/x",             "<script>alert(1)</script>",                   "s3up status && s3up retry"),
        ];
        for (path, reason, want) in cases {
            let (path, reason) = (path.to_owned(), reason.to_owned());
            let problem = ReportedProblem { path, reason, since: None };
            assert_eq!(fix(&problem).command, want, "{problem:?}");
        }
    }
}

//! A certificate of X.509 version 1, which only openssl still makes.

use super::{CertificateFiles, Certificates};
use crate::process::Process;
use std::{fs, path::Path, process::Stdio, time::Duration};

const OPENSSL_DEADLINE: Duration = Duration::from_secs(20);

impl Certificates {
    /// Whether openssl made it.
    #[track_caller]
    pub(super) fn make_version_1(&self, files: &CertificateFiles) -> bool {
        let authority = self.files("ca");
        let (request, unchecked) = (self.path("v1.csr"), self.path("v1.unchecked"));
        let made = openssl(
            &[
                "req",
                "-new",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-subj",
                "/CN=localhost",
            ],
            &[("-keyout", &files.key), ("-out", &request)],
        ) && openssl(
            &["x509", "-req", "-days", "3650", "-set_serial", "1"],
            &[("-in", &request), ("-CA", &authority.certificate), ("-CAkey", &authority.key), ("-out", &unchecked)],
        );
        // Newer versions of openssl make version 3 here.
        let text = self.path("v1.text");
        let shown = made && openssl(&["x509", "-noout", "-text"], &[("-in", &unchecked), ("-out", &text)]);
        let is_version_1 = fs::read_to_string(text).is_ok_and(|text| text.contains("Version: 1 (0x0)"));
        shown && is_version_1 && fs::rename(unchecked, &files.certificate).is_ok()
    }
}

/// Whether openssl did what it was told.
#[track_caller]
fn openssl(arguments: &[&str], files: &[(&str, &Path)]) -> bool {
    let process = Process::start(Path::new("openssl"), |command| {
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        for (option, path) in files {
            command.arg(option).arg(path);
        }
    });
    process.finish(OPENSSL_DEADLINE).success()
}

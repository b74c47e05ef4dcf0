//! The forms of `--json`, kept as files for those who read them.

use super::{
    FailureReport,
    backup::{BackupOutlook, BackupReport},
    call::CallReport,
    cancel::CancelReport,
    change::ChangeReport,
    import::ImportReport,
    local::status::{Listed, LocalReport},
};

use ::local::chaos::ChaosReport;
use schemars::{Schema, schema_for};
use std::{fs, path::Path};
use topology::{
    findings::DoctorReport,
    load::Load,
    plan::Plan,
    report::{CheckReport, ClusterReport},
};

fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("check", schema_for!(CheckReport)),
        ("doctor", schema_for!(DoctorReport)),
        ("status", schema_for!(ClusterReport)),
        ("cancel", schema_for!(CancelReport)),
        ("change", schema_for!(ChangeReport)),
        ("import", schema_for!(ImportReport)),
        ("call", schema_for!(CallReport)),
        ("backup", schema_for!(BackupReport)),
        ("backup-dry-run", schema_for!(BackupOutlook)),
        ("local-status", schema_for!(LocalReport)),
        ("local-chaos", schema_for!(ChaosReport)),
        ("top", schema_for!(Load)),
        ("plan", schema_for!(Plan)),
        ("local-list", schema_for!(Vec<Listed>)),
        ("failure", schema_for!(FailureReport)),
    ]
}

/// `UPDATE_SCHEMAS=1 cargo test --package cli schema` writes the files anew.
#[test]
fn the_schema_files_say_what_the_program_writes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    for (name, schema) in schemas() {
        let file = directory.join(format!("{name}.json"));
        let wanted = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::create_dir_all(&directory).unwrap();
            fs::write(&file, &wanted).unwrap();
        }
        let found = fs::read_to_string(&file).unwrap_or_default();
        assert!(found == wanted, "{} is stale: UPDATE_SCHEMAS=1 cargo test --package cli schema", file.display());
    }
}

//! What a backup would be, and what it was: for people and as JSON.

use super::Prospect;
use crate::{
    native::units,
    printer::{GREEN, RED, YELLOW},
};
use operations::backup::{BackupError, Saved};
use schemars::JsonSchema;
use serde::Serialize;
use std::{fmt::Write as _, time::Duration};
use topology::{SlotSet, backup::Source, findings::Finding, plan::NodeRef};

/// What `backup --json` writes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BackupReport {
    /// The version of this form, 1.
    format: u32,
    /// Whether every shard was saved.
    complete: bool,
    /// Where the files are.
    directory: String,
    /// The shards by their first slot, then those whose primary does not answer.
    shards: Vec<ShardSaved>,
    /// Bytes of all files.
    bytes: u64,
    /// Keys of the shards that were saved, as the servers counted them before.
    keys: u64,
    /// How long it all took.
    seconds: f64,
    /// What is wrong with the cluster.
    findings: Vec<Finding>,
}

/// What became of a shard.
#[derive(Serialize, JsonSchema)]
struct ShardSaved {
    /// Its primary.
    primary: NodeRef,
    /// The node that was copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<NodeRef>,
    /// Its slots.
    slots: SlotSet,
    /// The file, where it was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileSaved>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A file that is whole.
#[derive(Serialize, JsonSchema)]
struct FileSaved {
    /// Its name.
    name: String,
    /// Its bytes.
    bytes: u64,
    /// How many keys the node counted before.
    keys: u64,
    /// The CRC-64 that the server made and the file has, 16 hexadecimal digits; none where the server makes none
    /// (`rdbchecksum no`).
    checksum: Option<String>,
    /// The version of the format of RDB files.
    rdb_version: u16,
    /// How long it took.
    seconds: f64,
}

impl BackupReport {
    pub(crate) fn new(prospect: &Prospect<'_>, saved: &[Result<Saved, BackupError>], took: Duration) -> Self {
        let copied = prospect.sources.iter().zip(saved).map(|(source, saved)| ShardSaved::new(source, saved));
        let missing = prospect.missing.iter().map(|missing| ShardSaved {
            primary: missing.primary.clone(),
            from: None,
            slots: missing.slots.clone(),
            file: None,
            error: Some(format!("{} {}", missing.primary.address, missing.reason)),
        });
        let shards: Vec<_> = copied.chain(missing).collect();
        let files = || shards.iter().filter_map(|shard| shard.file.as_ref());
        Self {
            format: 1,
            complete: shards.iter().all(|shard| shard.file.is_some()),
            directory: prospect.directory.path().display().to_string(),
            bytes: files().map(|file| file.bytes).sum(),
            keys: files().map(|file| file.keys).sum(),
            seconds: took.as_secs_f64(),
            shards,
            findings: prospect.findings.clone(),
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let width = width(self.shards.iter().map(|shard| &shard.primary));
        for shard in &self.shards {
            let address = shard.primary.address.to_string();
            let told = match (&shard.file, &shard.error) {
                (Some(file), _) => file.text(),
                (None, error) => {
                    let error = error.as_deref().unwrap_or("unknown");
                    format!("{RED}not saved{RED:#}: {}", error.strip_prefix(&format!("{address} ")).unwrap_or(error))
                }
            };
            let from = shard.from.as_ref().filter(|from| **from != shard.primary);
            let from = from.map_or_else(String::new, |from| format!("   from its replica {}", from.address));
            let _ = writeln!(text, "  {address:width$}  {told}{from}");
        }
        let Self { directory, bytes, keys, .. } = self;
        let files = self.shards.iter().filter(|shard| shard.file.is_some()).count();
        if self.complete {
            let _ = writeln!(
                text,
                "{GREEN}saved{GREEN:#}: {}, {}, {} in {directory}    {}",
                units::count(files, "shard"),
                units::count(*keys, "key"),
                units::bytes(*bytes),
                units::duration(Duration::from_secs_f64(self.seconds)),
            );
        }
        text
    }
}

impl ShardSaved {
    fn new(source: &Source, saved: &Result<Saved, BackupError>) -> Self {
        let file = |saved: &Saved| FileSaved {
            name: source.file.clone(),
            bytes: saved.checked.bytes,
            keys: source.keys,
            checksum: saved.checked.checksum.map(|checksum| format!("{checksum:016x}")),
            rdb_version: saved.checked.version,
            seconds: saved.took.as_secs_f64(),
        };
        Self {
            primary: source.primary.clone(),
            from: Some(source.from.clone()),
            slots: source.slots.clone(),
            file: saved.as_ref().ok().map(file),
            error: saved.as_ref().err().map(ToString::to_string),
        }
    }
}

impl FileSaved {
    fn text(&self) -> String {
        let checksum = match &self.checksum {
            Some(_) => "checksum right".to_owned(),
            None => format!("{YELLOW}without checksum{YELLOW:#}: the server makes none (rdbchecksum no)"),
        };
        format!("{:>12} keys  {:>9}  {checksum}", units::grouped(self.keys), units::bytes(self.bytes))
    }
}

/// What `backup --dry-run --json` writes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BackupOutlook {
    /// The version of this form, 1.
    format: u32,
    /// Where the files would go.
    directory: String,
    /// The shards by their first slot, then those whose primary does not answer.
    shards: Vec<ShardToSave>,
    /// What all files would take at most, about, bytes: what the keys take in memory.
    bytes_at_most: u64,
    /// What can be written there, bytes; none where the system does not say.
    room_bytes: Option<u64>,
    /// Whether there is room; none where the system does not say.
    fits: Option<bool>,
    /// Files that are there already.
    present: Vec<String>,
    /// What is wrong with the cluster.
    findings: Vec<Finding>,
}

/// What would be made of a shard.
#[derive(Serialize, JsonSchema)]
struct ShardToSave {
    /// Its primary.
    primary: NodeRef,
    /// The node that would be copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<NodeRef>,
    /// Its slots.
    slots: SlotSet,
    /// The name of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Its keys.
    keys: u64,
    /// What they take in memory, bytes.
    memory_bytes: u64,
    /// Why it could not be saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl BackupOutlook {
    pub(crate) fn new(prospect: &Prospect<'_>) -> Self {
        let copied = prospect.sources.iter().map(|source| ShardToSave {
            primary: source.primary.clone(),
            from: Some(source.from.clone()),
            slots: source.slots.clone(),
            file: Some(source.file.clone()),
            keys: source.keys,
            memory_bytes: source.memory,
            error: None,
        });
        let missing = prospect.missing.iter().map(|missing| ShardToSave {
            primary: missing.primary.clone(),
            from: None,
            slots: missing.slots.clone(),
            file: None,
            keys: 0,
            memory_bytes: 0,
            error: Some(format!("{} {}", missing.primary.address, missing.reason)),
        });
        let shards: Vec<_> = copied.chain(missing).collect();
        let bytes_at_most = shards.iter().map(|shard| shard.memory_bytes).sum();
        let room_bytes = prospect.directory.room();
        Self {
            format: 1,
            directory: prospect.directory.path().display().to_string(),
            shards,
            bytes_at_most,
            room_bytes,
            fits: room_bytes.map(|room| room >= bytes_at_most),
            present: prospect.present.iter().map(|file| file.display().to_string()).collect(),
            findings: prospect.findings.clone(),
        }
    }

    /// Whether nothing speaks against it, files that are there already left out.
    pub(crate) fn succeeds(&self) -> bool {
        self.fits != Some(false) && self.shards.iter().all(|shard| shard.error.is_none())
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let width = width(self.shards.iter().map(|shard| &shard.primary));
        for shard in &self.shards {
            let address = shard.primary.address.to_string();
            let told = match &shard.error {
                Some(error) => format!("{RED}cannot be saved{RED:#}: {error}"),
                None => format!(
                    "{:>12} keys  at most about {:>9}  {}",
                    units::grouped(shard.keys),
                    units::bytes(shard.memory_bytes),
                    shard.file.as_deref().unwrap_or_default()
                ),
            };
            let from = shard.from.as_ref().filter(|from| **from != shard.primary);
            let from = from.map_or_else(String::new, |from| format!("   from its replica {}", from.address));
            let _ = writeln!(text, "  {address:width$}  {told}{from}");
        }
        for file in &self.present {
            let _ = writeln!(text, "  {YELLOW}~{YELLOW:#} {file} is there already: another directory, or --overwrite");
        }
        let room = match (self.fits, self.room_bytes) {
            (Some(true), Some(room)) => format!("{} can be written there", units::bytes(room)),
            (_, Some(room)) => format!("{RED}too little room{RED:#}: {} can be written there", units::bytes(room)),
            (_, None) => "how much can be written there is not known".to_owned(),
        };
        let Self { directory, bytes_at_most, .. } = self;
        let _ = writeln!(text, "{directory} would get at most about {}; {room}", units::bytes(*bytes_at_most));
        text.push_str("  Nothing was written: leave out --dry-run.\n");
        text
    }
}

fn width<'a>(primaries: impl Iterator<Item = &'a NodeRef>) -> usize {
    primaries.map(|primary| primary.address.to_string().len()).max().unwrap_or_default()
}

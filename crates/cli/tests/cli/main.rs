//! The program as people use it, on real servers.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what helps tests fails as they do")]

mod agents;
mod any_words;
mod backup;
mod bad_input;
mod cancel;
mod create;
mod everywhere;
mod fix;
mod importing;
mod importing_follow;
mod interrupted;
mod large_keys;
mod letting_in;
mod local;
mod local_chaos;
mod local_faults;
mod local_partition;
mod local_roll;
mod local_safety;
mod local_scale;
mod local_wipe;
mod losses;
mod members;
mod moves;
mod plans;
mod reading;
mod redis_trib;
mod reference;
mod reference_moves;
mod support;
mod table;
mod top;

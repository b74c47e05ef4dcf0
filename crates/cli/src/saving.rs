//! Saving the data of a cluster, the same in every grammar.

use operations::{
    backup::{Backup, BackupError, Progress, Saved, save},
    port::ReplicationDialer,
};
use tokio_util::sync::CancellationToken;

/// Saves all shards, until their end or until Ctrl-C, after which nothing is left.
pub(crate) async fn interruptible(
    dialer: &dyn ReplicationDialer,
    backup: Backup<'_>,
    show: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Vec<Result<Saved, BackupError>>, BackupError> {
    let stop = CancellationToken::new();
    let mut saving = std::pin::pin!(save(dialer, backup, &stop, show));
    tokio::select! {
        biased;
        Ok(()) = tokio::signal::ctrl_c() => {}
        saved = &mut saving => return saved,
    }
    stop.cancel();
    // The files go with those who write them.
    saving.await
}

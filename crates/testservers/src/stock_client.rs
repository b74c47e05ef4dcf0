//! A stock cluster client, as an application uses it.

use crate::cluster::Cluster;
use redis::{Commands, cluster::ClusterConnection};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of the redis crate's cluster client.
pub struct StockClient(ClusterConnection);

impl StockClient {
    /// Connects through these addresses, with the default user's password where there is one.
    ///
    /// Panics where the cluster cannot be entered.
    #[track_caller]
    pub fn connect(addresses: &[String], password: Option<&str>) -> Self {
        let cluster = Cluster::at(addresses);
        Self::enter(&password.iter().fold(cluster, |cluster, password| cluster.password(password)))
    }

    /// As [`connect`](Self::connect), also with TLS.
    #[track_caller]
    pub fn enter(cluster: &Cluster) -> Self {
        match cluster.enter(TIMEOUT) {
            Ok(connection) => Self(connection),
            Err(error) => panic!("the stock client cannot enter the cluster: {error}"),
        }
    }

    /// Writes so many keys, which lie in slots of all shards.
    #[track_caller]
    pub fn write(&mut self, keys: usize) {
        for number in 0..keys {
            if let Err(error) = self.0.set::<_, _, ()>(format!("key:{number}"), number) {
                panic!("key:{number} cannot be written: {error}");
            }
        }
    }

    /// Reads the keys that [`StockClient::write`] wrote; panics unless each is there with its value.
    #[track_caller]
    pub fn read(&mut self, keys: usize) {
        for number in 0..keys {
            match self.0.get::<_, Option<usize>>(format!("key:{number}")) {
                Ok(Some(value)) if value == number => {}
                other => panic!("key:{number} gives {other:?}"),
            }
        }
    }
}

//! What the agent tells Prometheus.

use crate::{account::Role, counters::Counters, shared::Shared};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use std::sync::atomic::AtomicU64;

/// All metrics in the text format that Prometheus reads.
pub(crate) fn text(shared: &Shared) -> String {
    let mut page = Page(Registry::default());
    let account = shared.account();
    let (said, counters) = (&account.said, &shared.counters);
    page.gauge("server_up", "Whether the server answers", said.answers);
    page.gauge("server_primary", "Whether the server is a primary", said.role == Some(Role::Primary));
    page.gauge("server_link_up", "Of a replica: whether the link to its primary is up", said.link_up == Some(true));
    page.gauge("server_cluster_ok", "Whether the server serves: cluster_state is ok", said.state_ok);
    page.gauge(
        "server_replication_offset_bytes",
        "How far the server is in the replication stream",
        number(said.offset),
    );
    page.gauge("server_slots", "Slots that the server owns", number(u64::try_from(said.slots).ok()));
    page.gauge("server_config_epoch", "The config epoch of the server, or of its primary", number(said.config_epoch));
    page.gauge(
        "server_known_nodes",
        "Nodes that the server knows, itself included",
        number(u64::try_from(said.known_nodes).ok()),
    );
    if let Some(last) = shared.last_answer() {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(last.as_secs_f64());
        page.0.register("tribune_server_last_answer_seconds", "Time since the server answered", gauge);
    }
    page.counter("server_starts", "Times that the server was started", &counters.starts);
    page.counter("server_exits", "Times that the server ended", &counters.exits);
    page.counter(
        "failovers_begun",
        "Times that the server was told to take over from a dead primary",
        &counters.failovers_begun,
    );
    page.counter("failovers_done", "Times that it took over", &counters.failovers_done);
    page.counter(
        "handovers_begun",
        "Times that a replica was asked to take over before the server was stopped",
        &counters.handovers_begun,
    );
    page.counter("handovers_done", "Times that it did", &counters.handovers_done);
    page.counter(
        "introductions",
        "Times that the server was told the new address of another node",
        &counters.introductions,
    );
    let mut text = String::new();
    // Writing into memory does not fail.
    encode(&mut text, &page.0).ok();
    text
}

struct Page(Registry);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: impl Into<i64>) {
        let gauge = Gauge::<i64>::default();
        gauge.set(value.into());
        self.0.register(format!("tribune_{name}"), help, gauge);
    }

    fn counter(&mut self, name: &str, help: &str, value: &AtomicU64) {
        let counter = Counter::<u64>::default();
        counter.inc_by(Counters::of(value));
        self.0.register(format!("tribune_{name}"), help, counter);
    }
}

/// As Prometheus takes it; what is not known is 0.
fn number(value: Option<u64>) -> i64 {
    value.and_then(|value| i64::try_from(value).ok()).unwrap_or_default()
}

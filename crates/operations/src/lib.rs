//! Reads clusters and runs plans through ports; knows no client library and no platform.

pub mod port;

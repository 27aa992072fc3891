//! Lets the events of a storm happen until its time is over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use reqwest::Method;
use rustix::process::Signal;
use s3up_testkit::CLOCK;
use serde_json::{Value, json};

use crate::events::{
    Disk, LinkState, ProcessEvent, Program, Reload, WorldEvent, process_event, world_event,
};
use crate::random::Random;
use crate::world::{KEYS, World};

const SUPERVISED_EVERY: Duration = Duration::from_millis(200);
/// Time in which a program acts on a signal, so that not every event hits the one before.
const SIGNAL_PAUSE_MS: (u64, u64) = (100, 800);
/// Maximum time for a control request, which the proxy and the S3 server answer from memory.
const CONTROL_MAX: Duration = Duration::from_secs(2);

/// Number of events of each kind.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<String, u64>>);

impl Counts {
    pub fn add(&self, kind: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kind.to_owned()).or_default() += 1;
    }

    pub fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Kills, freezes and reloads programs for `time`.
pub async fn of_processes(
    world: &World,
    counts: &Counts,
    mut random: Random,
    time: Duration,
) -> anyhow::Result<()> {
    let (began, mut key) = (CLOCK.start(), 0);
    while began.elapsed() < time {
        tokio::time::sleep(random.millis(200, 1500)).await;
        let event = process_event(&mut random);
        match event {
            ProcessEvent::Kill { program, down } => {
                counts.add(&format!("{} killed", program.name()));
                let mut daemon = world.daemons[&program].lock().await;
                daemon.kill()?;
                tokio::time::sleep(down).await;
                daemon.start()?;
            }
            ProcessEvent::Restart { program } => {
                counts.add(&format!("{} restarted", program.name()));
                let mut daemon = world.daemons[&program].lock().await;
                daemon.stop().await?;
                daemon.start()?;
            }
            ProcessEvent::Freeze { program, time } => {
                counts.add(&format!("{} frozen", program.name()));
                let daemon = world.daemons[&program].lock().await;
                daemon.signal(Signal::STOP);
                tokio::time::sleep(time).await;
                daemon.signal(Signal::CONT);
            }
            ProcessEvent::Reload(reload) => {
                counts.add("gateway reloaded");
                let both_keys = KEYS;
                for reload in [reload, Reload::Same] {
                    let keys =
                        if reload == Reload::Same { &both_keys[key..=key] } else { &both_keys };
                    world.write_server_yaml(reload, keys)?;
                    world.daemons[&Program::Gateway].lock().await.signal(Signal::HUP);
                    pause(&mut random).await;
                }
            }
            ProcessEvent::RotateKey => {
                counts.add("client key rotated");
                let next = 1 - key;
                world.write_server_yaml(Reload::Same, &KEYS)?;
                world.daemons[&Program::Gateway].lock().await.signal(Signal::HUP);
                pause(&mut random).await;
                world.write_client_yaml(KEYS[next])?;
                world.daemons[&Program::Agent].lock().await.signal(Signal::HUP);
                pause(&mut random).await;
                world.write_server_yaml(Reload::Same, &KEYS[next..=next])?;
                world.daemons[&Program::Gateway].lock().await.signal(Signal::HUP);
                key = next;
            }
        }
    }
    Ok(())
}

async fn pause(random: &mut Random) {
    tokio::time::sleep(random.millis(SIGNAL_PAUSE_MS.0, SIGNAL_PAUSE_MS.1)).await;
}

/// Lets links, S3 and disks fail for `time`.
pub async fn of_world(
    world: &World,
    counts: &Counts,
    mut random: Random,
    time: Duration,
) -> anyhow::Result<()> {
    let began = CLOCK.start();
    while began.elapsed() < time {
        tokio::time::sleep(random.millis(100, 1200)).await;
        match world_event(&mut random) {
            WorldEvent::Link { link, state, time } => {
                let kind = match state {
                    LinkState::Open => "open",
                    LinkState::Slow(_) => "slow",
                    LinkState::Silent => "silent",
                    LinkState::Cut => "cut",
                };
                counts.add(&format!("link {kind}"));
                world.link(link).set(state);
                tokio::time::sleep(time).await;
                world.link(link).set(LinkState::Open);
            }
            WorldEvent::Fault { op, nth, fault } => {
                counts.add("S3 fault injected");
                let fault = json!({"op": op, "nth": nth, "fault": fault});
                control(world, Method::POST, "faults", &fault).await;
            }
            WorldEvent::Network { latency_ms, time } => {
                counts.add("S3 slow");
                control(world, Method::PUT, "network", &json!({"latency_ms": latency_ms})).await;
                tokio::time::sleep(time).await;
                control(world, Method::PUT, "network", &json!({})).await;
            }
            WorldEvent::FullDisk { disk, time } => {
                let Some(full) = world.disks.get(&disk) else { continue };
                counts.add(match disk {
                    Disk::Gateway => "gateway disk full",
                    Disk::Agent => "agent disk full",
                });
                let ballast = full.path().join("ballast");
                fill(&ballast).context("fill a disk")?;
                tokio::time::sleep(time).await;
                std::fs::remove_file(&ballast).context("free a disk")?;
            }
        }
    }
    Ok(())
}

/// Writes to a file until its disk is full.
fn fill(path: &std::path::Path) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let mut len = 1 << 20;
    while len > 0 {
        // Shorter pieces fill the rest.
        if file.write_all(&vec![1; len]).is_err() {
            len /= 4;
        }
    }
    Ok(())
}

/// Sends a command to the S3 server, which may be dead or frozen.
async fn control(world: &World, method: Method, path: &str, body: &Value) {
    let url = format!("http://{}/_control/{path}", world.s3_address);
    let request = reqwest::Client::new().request(method, url).timeout(CONTROL_MAX);
    request.body(body.to_string()).send().await.ok();
}

/// Starts programs again that have ended by themselves. Returns only an error.
pub async fn supervise(world: &World) -> anyhow::Result<()> {
    loop {
        for daemon in world.daemons.values() {
            // One that is being killed has another turn.
            if let Ok(mut daemon) = daemon.try_lock() {
                daemon.supervise()?;
            }
        }
        tokio::time::sleep(SUPERVISED_EVERY).await;
    }
}

/// Ends all troubles.
pub async fn end(world: &World) {
    for link in world.links.values() {
        link.set(LinkState::Open);
    }
    control(world, Method::DELETE, "faults", &Value::Null).await;
    control(world, Method::PUT, "network", &json!({})).await;
}

//! What replicas count together, in Redis: a block of requests is taken there at a time and spent here.

use std::{sync::Arc, time::Duration};

use crate::{
    config::Rate,
    kv::{Away, Kv, Script},
};

/// A block is what the rate allows in this share of a second, so that replicas ask Redis some twenty times a second each,
/// however many requests there are.
const BLOCK_SHARE: u32 = 20;
/// The largest block.
const BLOCK_MAX: u32 = 1000;

/// The algorithm of `gcra`, by Redis's clock, in microseconds. Returns what was granted, what else there is, and how long
/// until one more (or, if something was granted, until all) would be.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local emission = 1000000 / tonumber(ARGV[1])
local burst = tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or '0')
if arrival < now then arrival = now end
local room = math.floor((burst * emission - (arrival - now)) / emission + 0.000001)
if room < 0 then room = 0 end
local granted = math.min(room, tonumber(ARGV[3]))
if granted == 0 then
  return {0, 0, math.ceil(arrival - now + emission - burst * emission)}
end
arrival = arrival + granted * emission
redis.call('SET', KEYS[1], string.format('%.3f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1000)
return {granted, room - granted, math.ceil(arrival - now)}
";

/// The count in Redis.
#[derive(Debug)]
pub(super) struct Shared {
    kv: Arc<Kv>,
    script: Script,
    rate: Rate,
    block: u32,
    /// How long a block stays good.
    pub(super) lease: Duration,
}

/// A block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) granted: u64,
    pub(super) remaining: u64,
    pub(super) reset: Duration,
}

impl Shared {
    pub(super) fn new(kv: Arc<Kv>, rate: Rate, lease: Duration) -> Self {
        // A replica must not take so much that the others wait for what it will not use.
        let block = (rate.per_second / BLOCK_SHARE).min(rate.burst / 4).clamp(1, BLOCK_MAX);
        Self { kv, script: Script::new(TAKE), rate, block, lease }
    }

    pub(super) async fn take(&self, key: &str) -> Result<Block, Away> {
        let arguments = [self.rate.per_second, self.rate.burst, self.block].map(u64::from);
        let (granted, remaining, reset): (u64, u64, u64) =
            self.kv.script(&self.script, key, &arguments).await?;
        Ok(Block { granted, remaining, reset: Duration::from_micros(reset) })
    }
}

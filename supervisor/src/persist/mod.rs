//! What outlives the engine: the desired state on disk, and the runtime state in shared memory.

#[cfg(test)]
mod damage;
pub mod desired;
pub mod saver;
pub mod slots;

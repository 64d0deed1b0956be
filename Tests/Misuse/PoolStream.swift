// A stream in work for a pool.

import Updraft

nonisolated func useStreamInPool(_ stream: IOStream, _ pool: BlockingPool) throws {
    try pool.submit { stream.close() }  // error: capture of 'stream' with non-Sendable
}

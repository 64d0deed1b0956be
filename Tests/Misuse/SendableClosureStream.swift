// A stream in a closure that may be called on any thread.

import Updraft

nonisolated func useStreamInSendableClosure(_ stream: IOStream) -> @Sendable () -> Void {
    { stream.close() }  // error: capture of 'stream' with non-Sendable
}

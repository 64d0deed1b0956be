// A stream in a callback that another thread may add.

import Updraft

nonisolated func useStreamInRemoteCallback(_ stream: IOStream, _ other: IOLoop.Remote) {
    other.addCallback { stream.close() }  // error: capture of 'stream' with non-Sendable
}

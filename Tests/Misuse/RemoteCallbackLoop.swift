// A loop in a callback of another.

import Updraft

nonisolated func useLoopInRemoteCallback(_ loop: IOLoop, _ other: IOLoop.Remote) {
    other.addCallback { loop.stop() }  // error: capture of 'loop' with non-Sendable
}

// A loop that every thread could reach. With the main actor as default isolation it is the main
// actor's, and out of reach of loops.

import Updraft

let sharedLoop = IOLoop.currentIfAny  // error(plain nonsending): is not concurrency-safe

nonisolated func useSharedLoop() throws {
    try IOLoop.run { loop in
        loop.addCallback {
            sharedLoop?.stop()  // error(main): can not be referenced from a nonisolated context
        }
    }
}

// A stream that every thread could reach, and change. With the main actor as default isolation it
// is the main actor's, and out of reach of loops.

import Updraft

var lastStream: IOStream?  // error(plain nonsending): is not concurrency-safe

nonisolated func useLastStream() throws {
    try IOLoop.run { loop in
        loop.addCallback {
            lastStream?.close()  // error(main): can not be referenced from a nonisolated context
        }
    }
}

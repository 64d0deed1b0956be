// A stream that was made on one loop, for the bodies of others.

import Updraft

nonisolated func takeStreamToOtherLoops(_ stream: IOStream) throws {
    try IOLoop.run(loops: 2) { loop in
        loop.spawn { stream.close() }  // error: capture of 'stream' with non-Sendable
    }
}

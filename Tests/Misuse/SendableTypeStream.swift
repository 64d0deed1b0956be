// A stream in a type that may go to any thread.

import Updraft

nonisolated struct Session: Sendable {
    let stream: IOStream  // error: has non-Sendable type 'IOStream'
}

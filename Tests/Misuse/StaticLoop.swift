// A loop that every thread could reach, in a type.

import Updraft

nonisolated enum Shared {
    static let loop: IOLoop? = nil  // error: is not concurrency-safe
}

// A semaphore itself is nothing to wait for: contract row 3.7.l30.

import Updraft

nonisolated func awaitSemaphore(_ semaphore: Semaphore) async throws {
    try await semaphore.value  // error: value of type 'Semaphore' has no member 'value'
}

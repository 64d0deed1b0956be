// A stream for a function of the main actor.

import Updraft

@MainActor private func show(_ stream: IOStream) {}

nonisolated(nonsending) func giveStreamToMainActor(_ stream: IOStream) async {
    await show(stream)  // error: sending 'stream' risks causing data races
}

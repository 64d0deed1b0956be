// A stream for an actor.

import Updraft

private actor Keeper {
    func keep(_ stream: IOStream) {}
}

nonisolated(nonsending) func giveStreamToActor(_ stream: IOStream) async {
    await Keeper().keep(stream)  // error: sending 'stream' risks causing data races
}

// A peer of MessagePack-RPC in a detached task.

import Updraft
import UpdraftRPC

nonisolated func usePeerInDetachedTask(_ peer: RPCPeer) {
    Task.detached { try await peer.call("late") }  // error: risks causing data races
}

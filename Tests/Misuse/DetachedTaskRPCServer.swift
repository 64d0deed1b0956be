// A server of MessagePack-RPC in a detached task.

import Updraft
import UpdraftRPC

nonisolated func useRPCServerInDetachedTask(_ server: RPCServer) {
    Task.detached { server.stop() }  // error: risks causing data races
}

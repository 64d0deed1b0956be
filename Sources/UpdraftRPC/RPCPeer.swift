/// MessagePack-RPC.

/// The MessagePack codec.

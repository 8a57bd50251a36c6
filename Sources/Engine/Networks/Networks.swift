/// The default bridge, network namespaces and published ports. Contract to come from its author; what `Containers` needs of it is in
/// `ContainerNetworking`.

// contract to come
